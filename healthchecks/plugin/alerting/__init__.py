"""Who is told what, and when: of every failure once, of nothing twice, and of a storm in one message.

`policy` decides for one check, `storm` for a whole run, `deciding` makes alerts of it; `alert_state` is what was
alerted, `state_file` the file it is kept in.
"""
