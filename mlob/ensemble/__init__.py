"""From several members' probabilities to decisions: blends, stackers, thresholds, calibration."""
