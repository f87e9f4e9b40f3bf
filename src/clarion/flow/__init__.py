"""The way of a notification: intake, plan, dispatch, track, wake. Stages do not know one another."""
