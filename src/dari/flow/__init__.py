"""The corridor: the only place where rooms meet. One file a pipeline; import them from their modules."""
