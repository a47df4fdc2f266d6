"""`headrace doctor`: looks at everything that Headrace stands on and says what to do. Changes nothing that stays.

`finding` is what a check says. `redis_server` and `redis_versions` judge the server, `clock` its time, `fleet` who
works and leads; `host` disk and ports; `gpus` what the driver lists; `store` the registry; `models` loads what is
released, if asked. `rounds` goes through all of them, `__main__` is the command.
"""
