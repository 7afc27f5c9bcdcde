extern "C" __global__ void bulk_copy(const void* from, unsigned barrier) {
  __shared__ __align__(128) unsigned char tile[128];
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(tile));
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 128, [%2];" ::
          "r"(to),
      "l"(from), "r"(barrier)
      : "memory");
}
