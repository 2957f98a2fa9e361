"""From photos to features on disk: a frozen backbone, run once."""
