#include "packet.hpp"

#include <cstring>
#include <span>

namespace gradflow::pipeline {
namespace {

/// Appends to, or takes from, a buffer in the order of the calls.
class Cursor {
 public:
  explicit Cursor(std::byte* at) : at_(at) {}

  void put(const void* from, std::size_t bytes) {
    if (bytes == 0) return;  // an empty vector has no address, which memcpy must not see
    std::memcpy(at_, from, bytes);
    at_ += bytes;
  }

 private:
  std::byte* at_;
};

class ConstCursor {
 public:
  explicit ConstCursor(const mpi::Buffer& bytes) : left_(bytes) {}

  void take(void* to, std::size_t bytes) {
    expect(bytes <= left_.size(), "a packet as long as its shape says");
    if (bytes == 0) return;
    std::memcpy(to, left_.data(), bytes);
    left_ = left_.subspan(bytes);
  }

 private:
  std::span<const std::byte> left_;
};

template <class Real>
std::size_t signal_bytes(int rows, int width) {
  return std::size_t(rows) * (sizeof(std::int32_t) + std::size_t(padded_width<Real>(width)) * sizeof(Real));
}

}  // namespace

template <class Real>
std::size_t packet_bytes(std::size_t points, const Shapes& shapes, std::size_t directions) {
  std::size_t bytes = sizeof(PacketHeader) + points * sizeof(Failure) + directions * sizeof(double);
  for (const nn::SignalShape& shape : shapes) bytes += signal_bytes<Real>(shape.rows, shape.width);
  return bytes;
}

template <class Real>
mpi::Buffer pack(const Packet<Real>& packet) {
  std::size_t bytes = sizeof(PacketHeader) + packet.failures.size() * sizeof(Failure);
  bytes += packet.directions.size() * sizeof(double);
  for (const Signal<Real>& signal : packet.state) bytes += signal_bytes<Real>(signal.rows(), signal.width);

  mpi::Buffer buffer(bytes);
  Cursor cursor(buffer.data());
  cursor.put(&packet.header, sizeof(PacketHeader));
  cursor.put(packet.failures.data(), packet.failures.size() * sizeof(Failure));
  for (const Signal<Real>& signal : packet.state) {
    cursor.put(signal.exponents.data(), signal.exponents.size() * sizeof(std::int32_t));
    cursor.put(signal.values.data(), signal.values.size() * sizeof(Real));
  }
  cursor.put(packet.directions.data(), packet.directions.size() * sizeof(double));
  return buffer;
}

template <class Real>
Packet<Real> unpack(const mpi::Buffer& bytes, const Shapes& shapes, std::size_t directions) {
  Packet<Real> packet;
  ConstCursor cursor(bytes);
  cursor.take(&packet.header, sizeof(PacketHeader));
  if (packet.header.job == PacketHeader::end_of_stream) return packet;

  packet.failures.resize(std::size_t(packet.header.points));
  cursor.take(packet.failures.data(), packet.failures.size() * sizeof(Failure));
  for (const nn::SignalShape& shape : shapes) {
    Signal<Real> signal = Signal<Real>::unset(shape.rows, shape.width);
    cursor.take(signal.exponents.data(), signal.exponents.size() * sizeof(std::int32_t));
    cursor.take(signal.values.data(), signal.values.size() * sizeof(Real));
    packet.state.push_back(std::move(signal));
  }
  packet.directions.resize(directions);
  cursor.take(packet.directions.data(), directions * sizeof(double));
  return packet;
}

template std::size_t packet_bytes<float>(std::size_t, const Shapes&, std::size_t);
template std::size_t packet_bytes<double>(std::size_t, const Shapes&, std::size_t);
template mpi::Buffer pack(const Packet<float>&);
template mpi::Buffer pack(const Packet<double>&);
template Packet<float> unpack(const mpi::Buffer&, const Shapes&, std::size_t);
template Packet<double> unpack(const mpi::Buffer&, const Shapes&, std::size_t);

}  // namespace gradflow::pipeline
