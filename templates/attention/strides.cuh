#ifndef FMS_ATTENTION_STRIDES_CUH_
#define FMS_ATTENTION_STRIDES_CUH_

namespace fms {

// Elements between neighbours of a (batch, head, row, head_dim) array whose last dimension is
// contiguous. Laid out like fms::attention::Strides on the host.
struct AttentionStrides {
  long long batch, head, row;
};

// Of q, k, v and o, as one argument of a kernel.
struct AttentionLayout {
  AttentionStrides q, k, v, o;
};

}  // namespace fms

#endif  // FMS_ATTENTION_STRIDES_CUH_
