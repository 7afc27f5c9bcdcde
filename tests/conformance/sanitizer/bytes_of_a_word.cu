extern "C" __global__ void bytes_of_a_word(unsigned char* bytes, unsigned* words, bool whole) {
  const int i = threadIdx.x;
  bytes[i] = i;
  if (whole && i == 3) words[0] = 0;
}
