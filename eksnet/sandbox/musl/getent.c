/*
 * getent, as far as the course needs it: `getent ahosts NAME` asks as Alpine's own does, with musl's
 * getaddrinfo and the same hints, and prints an address, a socket type and the name on each line.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { FOUND = 0, WRONG_USE = 1, NOT_FOUND = 2 };

static const char *type_name(int type)
{
	switch (type) {
	case SOCK_STREAM: return "STREAM";
	case SOCK_DGRAM: return "DGRAM";
	default: return "RAW";
	}
}

static void print(const struct addrinfo *one)
{
	char address[NI_MAXHOST];

	if (getnameinfo(one->ai_addr, one->ai_addrlen, address, sizeof address, NULL, 0,
			NI_NUMERICHOST) == 0)
		printf("%-15s %-6s %s\n", address, type_name(one->ai_socktype),
		       one->ai_canonname ? one->ai_canonname : "");
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_flags = AI_ADDRCONFIG | AI_CANONNAME,
	};
	struct addrinfo *found;

	if (argc != 3 || strcmp(argv[1], "ahosts") != 0) {
		fprintf(stderr, "Usage: %s ahosts NAME\n", argv[0]);
		return WRONG_USE;
	}
	if (getaddrinfo(argv[2], NULL, &hints, &found) != 0)
		return NOT_FOUND;
	for (const struct addrinfo *one = found; one; one = one->ai_next)
		print(one);
	freeaddrinfo(found);
	return FOUND;
}
