"""Learning without labels: clusters, codes, mixtures."""
