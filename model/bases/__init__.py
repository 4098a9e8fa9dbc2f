"""Pretrained try-on networks without size; a base is a folder."""
