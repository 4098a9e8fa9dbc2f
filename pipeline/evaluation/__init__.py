"""From checkpoints or folders of pictures to an evaluation."""
