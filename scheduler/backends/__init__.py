"""Where workers can be started: `port` says what a back end does, which decides nothing.

`process` does it on this machine, `docker` by Docker Engine, `kubernetes` by the scale of Deployments; the last two
speak HTTP by `rest`.
"""
