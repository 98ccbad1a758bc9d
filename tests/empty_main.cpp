// The program whose precompiled headers all tests share; it does nothing.
int main() {}
