"""The command ``basicsr-snn``: one file per verb."""
