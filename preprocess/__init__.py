"""Data sets, keypoints, measures, masks: everything that is known about a sample before training."""
