"""Typed triggers: functions and types in Python and TypeScript, made of the data schemas of workflows."""
