"""Real servers for the tests. Ask for a fixture, and the server is there; it ends with the test run.

    def test_members(website, bad, postgresql, rabbitmq, bugsink, kent):
        website.url("/login")                # http; website.url("/", tls="good"), trusting website.authority
        website.answer("/", "Oops", status=500)          # the page is wrong from now on, for this test
        website.paths                        # who asked for what, since the test began
        bad.port("hole"); bad.url("drip_body")           # names: the functions in bad.py
        bugsink.dsn; bugsink.issues(); bugsink.events(); bugsink.raw()       # a project of its own
        kent.dsn; kent.check_ins(); kent.envelopes()     # everything that was sent, as it came
        website.pause(); website.resume()    # SIGSTOP and SIGCONT, to the whole family
        website.stop(); website.start()      # gone and back, on the same ports

One server of each kind serves all tests of a run; before each test it is brought back to a working state. A test
that needs one of its own writes `with Website() as website:`. Where a program is missing, the test is skipped
with the reason "missing: PROGRAM", and the end of the run says what that cost.
"""
