"""Who is told what, and when: of every failure once, of nothing twice, and of a storm in one message.

`policy` decides for one check, `storm` for a whole run, `memory` keeps what was told in the history's file,
`session` leads a run through them, and hands alerts to the outlets (Sentry, a webhook).
"""
