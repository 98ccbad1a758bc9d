#include "search/moves.hpp"

namespace gem {

std::unique_ptr<Move> make_swap_move();  // swap_move.cpp

std::vector<std::unique_ptr<Move>> make_moves() {
  std::vector<std::unique_ptr<Move>> moves;
  moves.push_back(make_swap_move());
  return moves;
}

}  // namespace gem
