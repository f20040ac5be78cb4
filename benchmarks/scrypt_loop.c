/* Prints the seconds that so many scrypt digests of headers take, which differ in their last eight bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/evp.h>

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    uint64_t count = strtoull(argv[1], NULL, 10), prefix = strtoull(argv[2], NULL, 10);
    uint64_t n = strtoull(argv[3], NULL, 10), r = strtoull(argv[4], NULL, 10), p = strtoull(argv[5], NULL, 10);
    unsigned char *header = calloc(prefix + 8, 1), digest[32], target[32] = {0};
    struct timespec began, ended;
    if (header == NULL)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (uint64_t nonce = 0; nonce < count; nonce++) {
        for (int byte = 0; byte < 8; byte++)
            header[prefix + byte] = (unsigned char)(nonce >> (56 - 8 * byte));
        if (!EVP_PBE_scrypt((char *)header, prefix + 8, header, prefix + 8, n, r, p, 0, digest, sizeof digest))
            return 1;
        if (memcmp(digest, target, sizeof digest) <= 0)
            break;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.9f\n", (double)(ended.tv_sec - began.tv_sec) + 1e-9 * (double)(ended.tv_nsec - began.tv_nsec));
    free(header);
    return 0;
}
