#ifndef FMS_ATTENTION_MODS_DOCUMENTS_CUH_
#define FMS_ATTENTION_MODS_DOCUMENTS_CUH_

// Several documents in one sequence: a query sees the keys of its own. `documents` has the number
// of each token's; elements of the batch lie batch_stride apart.
struct Mods {
  const int* documents;
  long long batch_stride;

  __device__ bool mask(int batch, int, int query, int key) const {
    const int* row = documents + batch * batch_stride;
    return row[query] == row[key];
  }
};

#endif  // FMS_ATTENTION_MODS_DOCUMENTS_CUH_
