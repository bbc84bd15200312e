"""Files in, files out of memory: atomic directories, Parquet, the dataset card and the report."""
