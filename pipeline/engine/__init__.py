"""Where the work of data stages runs, and how what is done stays done."""
