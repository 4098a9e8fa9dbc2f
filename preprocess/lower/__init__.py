"""Trousers, shorts and skirts, measured against hips and legs."""
