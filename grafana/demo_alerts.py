"""What `grafana/demo` asks Prometheus, each half second: `up` ends when it has looked at the broker, which has to be seen
before it can be seen to change; `alerts` says which alerts fire, when they begin and when they end.

    demo_alerts.py URL up|alerts
"""

import json
import sys
import time
import urllib.request

BETWEEN = 0.5
MOST_LOOKS = 120

# Whatever proxy the environment names: this is on the same machine.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path):
    with opener.open(sys.argv[1] + path, timeout=30) as answer:
        return json.load(answer)["data"]


def wait_for_a_look():
    for _ in range(MOST_LOOKS):
        if ask("/api/v1/query?query=up==1")["result"]:
            return
        time.sleep(BETWEEN)
    sys.exit("Prometheus does not get the metrics of the broker")


def firing():
    """What each alert that fires says, by its labels."""
    alerts = [alert for alert in ask("/api/v1/alerts")["alerts"] if alert["state"] == "firing"]
    return {
        frozenset(alert["labels"].items()): f"{alert['labels']['alertname']}: {alert['annotations']['summary']}"
        for alert in alerts
    }


def tell_alerts():
    told = {}
    while True:
        now = firing()
        for labels in now.keys() - told.keys():
            print(f"── fires:      {now[labels]}", flush=True)
        for labels in told.keys() - now.keys():
            print(f"── is over:    {told[labels]}", flush=True)
        # What it said when it began: numbers in it change all the time.
        told = {labels: told.get(labels, text) for labels, text in now.items()}
        time.sleep(BETWEEN)


{"up": wait_for_a_look, "alerts": tell_alerts}[sys.argv[2]]()
