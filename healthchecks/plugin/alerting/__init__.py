"""Alerts: each failure is sent once, then as reminders; many failures at once are sent as one summary.

`findings` are what a run reports; `policy` decides for one check and for a whole run, `decision` makes alerts of it;
`state` is what was alerted, `store` the file it is kept in; `dispatcher` hands the alerts of a run to the `channels`.
"""
