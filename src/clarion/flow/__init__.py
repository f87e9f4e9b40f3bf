"""The way of a notification: intake, plan, dispatch, track, timers. Stages do not import one another."""
