"""The registry: which models exist, their versions, files and releases. No framework, no database: objects in a store.

`manifest` what a version is, `release` what serves (`traffic`: how that changes, `release_log`: all of it since ever),
`object_store` where both lie. `source` finds the author's class, `signature` reads its type hints, `description` makes
a manifest of a folder (`requirements`: what its code imports; `provenance`: where it comes from), `file_check` refuses
what no version may hold, `signing` proves who published it, `cache` brings a version's files here and verifies them
(`verified`: once each), in the room that `cache_room` keeps (`file_lock`); `progress` shows how far it is. `registry`
puts these together, `served` is what a submission needs of a release, `published` tells of every version there is,
`importing` reads what other tools saved, and `scaffold` begins anew. `__main__` is the command line with
`release_commands` and `authoring_commands` (`command_line`: what they share).

    files/sha256/<digest>                          a file, under its own digest
    models/<name>/versions/<n, 8 digits>/manifest.json
    models/<name>/versions/<n, 8 digits>/signatures/<public key>
    models/<name>/releases/<seq, 8 digits>.json    append-only; the newest is the whole traffic table
"""
