/*
 * Makes files, half of each text and half incompressible, in pieces of 4 KiB by turns.
 *
 *   files FOLDER COUNTxBYTES...
 *
 * They are named BYTES-INDEX. The same arguments give the same files.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096 };
static uint64_t state = 0x9e3779b97f4a7c15ull;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void text_piece(uint64_t *to) {
    static const char words[] = "the ship  sails   and the wind turns   north   while   birds   follow  over the sea    "
                                "until   evening comes,  then all is quiet.  A light ";
    for (size_t i = 0; i < PIECE / 8; i++) memcpy(&to[i], words + next_random() % 16 * 8, 8);
}

int main(int count, char **given) {
    static uint64_t piece[PIECE / 8];
    for (int i = 2; i < count; i++) {
        char *end;
        unsigned long files = strtoul(given[i], &end, 10), bytes = strtoul(end + 1, NULL, 10);
        for (unsigned long file = 0; file < files; file++) {
            char path[256];
            snprintf(path, sizeof path, "%s/%lu-%lu", given[1], bytes, file);
            FILE *to = fopen(path, "w");
            if (!to) return perror(path), 1;
            for (unsigned long at = 0; at < bytes; at += PIECE) {
                if (at / PIECE % 2) text_piece(piece);
                else
                    for (size_t k = 0; k < PIECE / 8; k++) piece[k] = next_random();
                if (fwrite(piece, 1, bytes - at < PIECE ? bytes - at : PIECE, to) == 0) return perror(path), 1;
            }
            if (fclose(to)) return perror(path), 1;
        }
    }
    return 0;
}
