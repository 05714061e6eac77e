"""Systems that act: world models, planners and policies."""
