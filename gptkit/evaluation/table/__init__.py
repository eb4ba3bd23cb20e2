"""Several tasks in one table, such as those of the papers."""
