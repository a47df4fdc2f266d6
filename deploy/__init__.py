"""What runs Headrace elsewhere than on a laptop: the parts of `docker-compose.yml` and of the image.

`flower/` is Flower as we start it, `health` what containers are asked for their health by, `headrace.toml` the settings
of the composed system, `haproxy.cfg` its proxy, `make_secrets.sh` what fills `secrets/`.
"""
