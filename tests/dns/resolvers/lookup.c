/* Looks a name up as most C programs do, and prints the addresses. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;

	if (argc != 2)
		return 2;
	if (getaddrinfo(argv[1], NULL, &wanted, &found) != 0)
		return 1;
	for (; found; found = found->ai_next) {
		char address[64];
		getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0,
			    NI_NUMERICHOST);
		puts(address);
	}
	return 0;
}
