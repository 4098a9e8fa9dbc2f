"""Parquet tables of one row a sample, kept up to date."""
