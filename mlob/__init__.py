"""mlob: bottleneck features once, dense heads in minutes, an ensemble that holds up."""
