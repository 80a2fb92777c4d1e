#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/mpi/pending.hpp"
#include "gradflow/nn/block.hpp"

namespace gradflow::pipeline {

/// What a message between two stages begins with.
struct PacketHeader {
  std::int64_t job = 0;         ///< counts the group's jobs; `end_of_stream`: no job follows
  std::int32_t microbatch = 0;  ///< within the job
  std::int32_t points = 0;      ///< of the job's bundle: as many failures follow

  static constexpr std::int64_t end_of_stream = -1;
};

/// The state of one microbatch on its way to a neighbouring stage, with every failure known so far.
template <class Real>
struct Packet {
  PacketHeader header;
  nn::Failures failures;
  State<Real> state;
  std::vector<double> directions = {};  ///< of Jacobians, packed; only upstream
};

/// Of the signals of a packet.
using Shapes = std::vector<nn::SignalShape>;

/// Bytes of a packet whose signals have these shapes.
template <class Real>
std::size_t packet_bytes(std::size_t points, const Shapes& shapes, std::size_t directions = 0);

template <class Real>
mpi::Buffer pack(const Packet<Real>& packet);

/// @param shapes  of the state's signals, and how many numbers follow; ignored for the end of the stream
template <class Real>
Packet<Real> unpack(const mpi::Buffer& bytes, const Shapes& shapes, std::size_t directions = 0);

}  // namespace gradflow::pipeline
