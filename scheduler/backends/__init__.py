"""Where workers can be started: `port` says what a back end does, `process` does it on this machine."""
