"""The embedded service: the REST contract of the hosted one, in process, with pictures drawn locally."""
