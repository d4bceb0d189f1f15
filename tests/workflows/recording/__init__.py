"""Records the histories that `test_replay.py` replays, by living through each way of a workflow on a running stack."""
