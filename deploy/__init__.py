"""What runs Headrace elsewhere than on a laptop: the parts of `docker-compose.yml` and of the image, and a cluster's.

`flower/` is Flower as we start it, `health` what containers are asked for their health by, `headrace.toml` the settings
of the composed system, `haproxy.cfg` its proxy, `make_secrets.sh` what fills `secrets/`. `owner.yml`, beside the
compose file, lets the scheduler say how many workers there are. `prometheus/` has the scraping, the alerts and their
tests, `grafana/` the dashboard. `kubernetes/` is a Kustomize base of the whole system.
"""
