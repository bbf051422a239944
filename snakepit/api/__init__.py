"""What users call. It depends on the `Runtime` protocol; only `init` knows a runtime."""
