// Tasks that race: built and run only under ThreadSanitizer, which has to find it.
#include "gradflow/core/parallel.hpp"

int main() {
  int sum = 0;
  gradflow::Threads threads(3);
  threads.run([&] {
    gradflow::parallel_for(2000, [&](int i) {
      sum += i;
      volatile double work = 1;
      for (int k = 0; k < 20000; ++k) work = work * 1.1;
    });
  });
  return 0;
}
