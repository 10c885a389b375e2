"""Property tests here run on busy machines: no deadline a test, but few examples."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "stats",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("stats")
