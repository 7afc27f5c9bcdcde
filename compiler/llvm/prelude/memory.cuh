#ifndef FMS_CPU_MEMORY_CUH_
#define FMS_CPU_MEMORY_CUH_

// Fences, and loads and stores that name a cache: on a processor they are plain ones.

#pragma clang system_header

// A block runs on one thread of the processor, so that its own threads need but the compiler's
// order.
FMS_CPU_FN void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
FMS_CPU_FN void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
FMS_CPU_FN void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Addresses of all memories are ordinary ones. What takes the narrow ones is PTX.
FMS_CPU_FN size_t __cvta_generic_to_global(const void* p) { return reinterpret_cast<size_t>(p); }
FMS_CPU_FN size_t __cvta_generic_to_shared(const void* p) { return reinterpret_cast<size_t>(p); }
FMS_CPU_FN size_t __cvta_generic_to_constant(const void* p) { return reinterpret_cast<size_t>(p); }
FMS_CPU_FN size_t __cvta_generic_to_local(const void* p) { return reinterpret_cast<size_t>(p); }
FMS_CPU_FN void* __cvta_global_to_generic(size_t p) { return reinterpret_cast<void*>(p); }
FMS_CPU_FN void* __cvta_shared_to_generic(size_t p) { return reinterpret_cast<void*>(p); }
FMS_CPU_FN void* __cvta_constant_to_generic(size_t p) { return reinterpret_cast<void*>(p); }
FMS_CPU_FN void* __cvta_local_to_generic(size_t p) { return reinterpret_cast<void*>(p); }

template <typename T>
struct fms_cpu_same {
  using type = T;
};

#define FMS_CPU_LOAD(name)              \
  template <typename T>                 \
  FMS_CPU_FN T name(const T* address) { \
    return *address;                    \
  }
FMS_CPU_LOAD(__ldg)
FMS_CPU_LOAD(__ldca)
FMS_CPU_LOAD(__ldcg)
FMS_CPU_LOAD(__ldcs)
FMS_CPU_LOAD(__ldlu)
FMS_CPU_LOAD(__ldcv)
#undef FMS_CPU_LOAD

#define FMS_CPU_STORE(name)                                                \
  template <typename T>                                                    \
  FMS_CPU_FN void name(T* address, typename fms_cpu_same<T>::type value) { \
    *address = value;                                                      \
  }
FMS_CPU_STORE(__stwb)
FMS_CPU_STORE(__stcg)
FMS_CPU_STORE(__stcs)
FMS_CPU_STORE(__stwt)
#undef FMS_CPU_STORE

#endif  // FMS_CPU_MEMORY_CUH_
