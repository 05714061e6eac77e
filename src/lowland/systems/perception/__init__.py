"""Recognising what is in an image: linear machines, multi-layer and convolutional networks."""
