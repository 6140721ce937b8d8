"""`asv_bench`: the benchmarks that are published, and the pages that show them."""
