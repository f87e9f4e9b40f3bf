"""Contract suites and fakes for plug-in authors."""
